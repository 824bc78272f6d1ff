// Package cli has the commands that try and explain policies without a cluster: review, check, test, explain, rules and version.
package cli
