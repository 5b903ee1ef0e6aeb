"""What a run needs of the machine: its folders, space on its disks, its cluster."""
