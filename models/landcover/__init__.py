"""Water, trees, fields and settlements in a Landsat scene: a small U-Net, trained on very little truth."""
