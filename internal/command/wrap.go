// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks a text into lines of at most width columns, each indented. A word longer than a line stands alone on one.
func Wrap(text, indent string, width int) string {
	return wrapWords(strings.Fields(text), indent, indent, "", width)
}

// WrapHanging breaks a text into lines of at most width columns, each but the first indented.
func WrapHanging(text, indent string, width int) string {
	return wrapWords(strings.Fields(text), "", indent, "", width)
}

// WrapCommand breaks a shell command between its arguments, so that it can still be pasted into a shell.
func WrapCommand(command, indent string, width int) string {
	return wrapWords(shellWords(command), indent, indent+"  ", ` \`, width)
}

// wrapWords sets words into lines: indent begins the first line, hanging the others, and tail ends all but the last.
func wrapWords(words []string, indent, hanging, tail string, width int) string {
	if len(words) == 0 {
		return ""
	}
	var b strings.Builder
	line := indent + words[0]
	for _, word := range words[1:] {
		if Columns(line)+1+Columns(word)+len(tail) > width {
			b.WriteString(line + tail + "\n")
			line = hanging + word
		} else {
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
	return b.String()
}

// Columns returns how many columns of a terminal a text takes.
func Columns(s string) int { return utf8.RuneCountInString(s) }

// shellWords splits a command at the spaces that are not quoted.
func shellWords(command string) []string {
	var quote rune
	return strings.FieldsFunc(command, func(r rune) bool {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == ' ':
			return true
		}
		return false
	})
}
