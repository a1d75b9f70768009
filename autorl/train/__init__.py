"""From the replay store to weights: data sets, adapters, and the gate that lets them in."""
