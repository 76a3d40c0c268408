"""The sensitivity method of ISDA: margin from sensitivities, by risk class; and the regulatory schedule beside it."""
