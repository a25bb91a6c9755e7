"""Gray and white matter in T1 scans: a small U-Net, trained on slices of the MNI152 template."""
