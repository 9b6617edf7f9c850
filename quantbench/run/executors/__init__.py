"""Where the steps of a run are done: in this process, or on the nodes of a cluster."""
