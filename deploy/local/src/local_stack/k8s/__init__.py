"""The manifests of `deploy/k8s`: what is made from the contracts, and what every rendering is held to."""
