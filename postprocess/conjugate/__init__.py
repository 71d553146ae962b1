"""What tokens, money, payments and transfers share: detections beside settings, a verifier, and binomial tails."""
