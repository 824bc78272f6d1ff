// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Newrule adds a rule to the tree: its file, its section of the API, its line in the list of rules, and two fixtures. What only a person
// can write is left empty, so that the tests of the rules name it.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "newrule: must get the ID of a rule, such as node-foo-bar: make new-rule ID=node-foo-bar")
		os.Exit(2)
	}
	paths, err := add(".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "newrule:", err)
		os.Exit(1)
	}
	for _, path := range paths {
		fmt.Println(path)
	}
}
