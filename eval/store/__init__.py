"""What the replay store is measured on: made-up texts that are spread as real ones are, runs, and stores of them."""
