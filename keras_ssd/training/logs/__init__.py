"""Where teams keep the numbers of a training: MLflow, Weights & Biases, TensorBoard. Off unless asked for."""
