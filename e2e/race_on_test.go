//go:build race

package e2e_test

// raceDetector has the product built with Go's race detector, too.
const raceDetector = true
