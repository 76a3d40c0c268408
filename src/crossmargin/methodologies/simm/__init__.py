"""Initial margin of derivatives that are not cleared: ISDA SIMM on sensitivities, and the regulatory schedule."""
