"""Settings for the tests of the networks."""

import torch

# These nets and images are small: a second thread gains little, and on busy cores it waits by spinning,
# which makes every test several times slower.
torch.set_num_threads(1)
