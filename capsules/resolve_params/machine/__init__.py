"""What a run needs of the machine: folders, classifier models, space on the disks, the cluster."""
