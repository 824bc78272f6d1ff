// Package cli has the commands that need no cluster: review, check, test, explain, rules, denials and version.
package cli
