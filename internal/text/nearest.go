// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package text

import "strings"

// maxNearest is the maximum number of suggestions for a wrong name.
const maxNearest = 3

// Nearest returns suggestions for a wrong name, best first: names that contain it, or else names within a distance of a third of
// its length.
func Nearest(name string, names []string) []string {
	var near []string
	for _, candidate := range names {
		if name != "" && strings.Contains(candidate, name) {
			near = append(near, candidate)
		}
	}
	for distance := 1; len(near) == 0 && distance <= len(name)/3; distance++ {
		for _, candidate := range names {
			if editDistance(name, candidate) == distance {
				near = append(near, candidate)
			}
		}
	}
	return near[:min(len(near), maxNearest)]
}

// DidYouMean returns the end of a message about a wrong name: a question with suggestions, or nothing. cobra suggests only commands;
// this is also for rules and fields.
func DidYouMean(name string, names []string) string {
	near := Nearest(name, names)
	if len(near) == 0 {
		return ""
	}
	return ": did you mean " + strings.Join(near, " or ") + "?"
}

// editDistance returns the number of bytes to insert, delete or replace to turn one string into the other (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
