"""`jaxbackprop check`: finds hand-written rules in anyone's modules, gives them arguments and judges them."""
