"""JSON and YAML, in and out, as Go and sigs.k8s.io/yaml read and write them."""
