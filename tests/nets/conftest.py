"""Settings for the tests of the networks."""

import torch

# These nets and images are small: a second thread gains little, and where the cores are busy with other work
# it waits by spinning and makes every test several times slower.
torch.set_num_threads(1)
