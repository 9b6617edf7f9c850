"""COCO's numbers, and how much each picture moves them."""
