"""`jaxbackprop graph`: the computation graph of anyone's function, as a table, a picture, and figures."""
