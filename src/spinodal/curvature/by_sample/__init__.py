"""What samples contribute to a Hessian one by one: outputs, gradients, and passes of probes of their own."""
