// Package cli has the commands that need no cluster: review, check, test, explain, rules, denials and version.
//
// [Commands] returns them, [Root] puts commands under the root command, and [Run] runs it as main does: errors go to
// standard error, each line with the name of the program before it. The exit code is 0 if all is fine, 1 if the
// answer is no, and 2 if there is no answer, because of the usage or of what could not be read.
package cli
