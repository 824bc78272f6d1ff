// The modules whose definitions of kinds the tests install. They are read, never built.
module noderestriction.plus/e2e/profiles/definitions

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.91.0
)
