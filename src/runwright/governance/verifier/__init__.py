"""The verifier of evidence bundles: nothing but the standard library, so that a copy of it lies in each bundle."""
