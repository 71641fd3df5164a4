"""`jaxbackprop doctor`: what ails anyone's model, or a trained run."""
