"""Object detection, judged by COCO's numbers."""
