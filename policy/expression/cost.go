// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// What [Cost] takes for what it cannot see in an expression.
const (
	textSize   = 256 // characters of a name in the objects
	valueSize  = 512 // characters of the value of an annotation, on average over an iteration
	labelSize  = 63  // characters of the value of a label
	listLength = 64  // elements of a list or map that is not compared with a bound
	nestedSize = 16  // the same, of a list or map that is in an element of another one
)

// What an API server counts, at least; see cel-go interpreter/runtimecost.go and k8s.io/apiserver/pkg/cel/library/cost.go.
const (
	callCost      = 2  // a call or an operator
	listCost      = 10 // a list that is made
	iterationCost = 6  // an iteration, apart from its condition
	elementCost   = 12 // an element of the list that an iteration makes
	perCharacter  = 0.1
	regexpCost    = 0.25 // a character of a regular expression, for ten characters of the text
)

// Cost returns a number that is at least what an API server counts for an expression of this package, within the bounds with which it
// compares sizes. It is math.MaxUint64 for any other text.
func Cost(e string) uint64 {
	c := &coster{text: e, bounds: map[string]float64{}, sizes: map[string]float64{}}
	c.findBounds()
	v := c.choice()
	c.space()
	if c.failed || c.at < len(e) || v.cost >= math.MaxInt64 {
		return math.MaxUint64
	}
	return uint64(math.Ceil(v.cost))
}

// coster reads an expression and adds up what it costs.
type coster struct {
	text     string
	at       int
	failed   bool
	bounds   map[string]float64 // of lists and maps, by their expression
	sizes    map[string]float64 // of texts
	products []product
	depth    int // iterations around the place
}

// product is the bound of the product of two lengths.
type product struct {
	a, b  string
	bound float64
}

// value is an expression that has been read.
type value struct {
	cost   float64
	length float64 // of a list or map
	size   float64 // of a text
	source string
}

// findBounds reads all comparisons of sizes with a bound. Expressions of this package iterate only over what is within it.
func (c *coster) findBounds() {
	for _, m := range regexp.MustCompile(`size\((\w+)\) \* size\((\w+)\) > (\d+)`).FindAllStringSubmatch(c.text, -1) {
		bound, _ := strconv.ParseFloat(m[3], 64)
		c.products = append(c.products, product{m[1], m[2], bound})
	}
	bounded := regexp.MustCompile(`^\) > (\d+)`)
	for at := 0; ; {
		i := strings.Index(c.text[at:], "size(")
		if i < 0 {
			return
		}
		at += i + len("size(")
		end := closing(c.text, at)
		if m := bounded.FindStringSubmatch(c.text[end:]); m != nil {
			bound, _ := strconv.ParseFloat(m[1], 64)
			if before, has := c.bounds[c.text[at:end]]; !has || bound > before {
				c.bounds[c.text[at:end]] = bound
			}
		}
		if m := regexp.MustCompile(`^\) <= (\d+)`).FindStringSubmatch(c.text[end:]); m != nil {
			size, _ := strconv.ParseFloat(m[1], 64)
			c.sizes[c.text[at:end]] = max(size, c.sizes[c.text[at:end]])
		}
	}
}

// closing returns the place of the bracket that closes the one before a place, or the end.
func closing(e string, at int) int {
	for depth := 0; at < len(e); at++ {
		switch e[at] {
		case '\'':
			at = endOfLiteral(e, at)
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth == 0 {
				return at
			}
			depth--
		}
	}
	return len(e)
}

func (c *coster) space() {
	for c.at < len(c.text) && (c.text[c.at] == ' ' || c.text[c.at] == '\n') {
		c.at++
	}
}

// accept reads a token, if it follows.
func (c *coster) accept(token string) bool {
	c.space()
	if !strings.HasPrefix(c.text[c.at:], token) {
		return false
	}
	c.at += len(token)
	return true
}

func (c *coster) expect(token string) {
	if !c.accept(token) {
		c.failed, c.at = true, len(c.text)
	}
}

func (c *coster) choice() value {
	v := c.operation(0)
	if !c.accept("? ") {
		return v
	}
	then := c.choice()
	c.expect(": ")
	otherwise := c.choice()
	return value{
		cost: v.cost + max(then.cost, otherwise.cost), length: max(then.length, otherwise.length), size: max(then.size, otherwise.size),
	}
}

// operators returns the operators by how tightly they bind, the loosest first.
func operators() [][]string {
	return [][]string{{"|| "}, {"&& "}, {"== ", "!= ", "<= ", ">= ", "< ", "> ", "in "}, {"+ ", "- "}, {"* "}}
}

func (c *coster) operation(rank int) value {
	if rank == len(operators()) {
		return c.unary()
	}
	left := c.operation(rank + 1)
	for {
		operator := ""
		for _, o := range operators()[rank] {
			if c.accept(o) {
				operator = strings.TrimSpace(o)
				break
			}
		}
		if operator == "" {
			return left
		}
		left = combine(operator, left, c.operation(rank+1))
	}
}

func combine(operator string, a, b value) value {
	v := value{cost: a.cost + b.cost + callCost}
	switch operator {
	case "==", "!=", "<", "<=", ">", ">=":
		v.cost += min(a.size, b.size) * perCharacter
	case "in":
		v.cost += b.length
	case "+":
		v.length, v.size = a.length+b.length, a.size+b.size
		v.cost += (v.length + v.size) * perCharacter
	}
	return v
}

func (c *coster) unary() value {
	start := c.at
	if c.accept("!") {
		v := c.unary()
		return value{cost: v.cost + callCost}
	}
	v := c.primary()
	for !c.failed {
		c.space()
		v.source = strings.TrimSpace(c.text[start:c.at])
		if bound, has := c.bounds[v.source]; has {
			v.length = bound
		}
		if size, has := c.sizes[v.source]; has {
			v.size = size
		}
		switch {
		case strings.HasPrefix(c.text[c.at:], ".?"), strings.HasPrefix(c.text[c.at:], "."):
			v = c.member(v)
		case c.accept("[?"), c.accept("["):
			index := c.choice()
			c.expect("]")
			size := float64(valueSize)
			if strings.HasSuffix(v.source, "Labels") {
				size = labelSize
			}
			v = value{cost: v.cost + index.cost + callCost, length: nestedSize, size: size}
		default:
			return v
		}
	}
	return v
}

func (c *coster) primary() value {
	c.space()
	switch {
	case c.at == len(c.text):
		c.failed = true
		return value{}
	case c.accept("("):
		v := c.choice()
		c.expect(")")
		return v
	case c.accept("["):
		items := c.list("]")
		v := value{cost: listCost, length: float64(len(items))}
		for _, item := range items {
			v.cost += item.cost + 1
			v.size = max(v.size, item.length) // of the only element of a list that binds a variable
		}
		return v
	case c.accept("{}"):
		return value{cost: 3 * listCost}
	case c.text[c.at] == '\'':
		end := endOfLiteral(c.text, c.at)
		v := value{cost: 0, size: float64(end - c.at - 1)}
		c.at = min(end+1, len(c.text))
		return v
	}
	word := c.word()
	switch {
	case word == "":
		c.failed, c.at = true, len(c.text)
		return value{}
	case word[0] >= '0' && word[0] <= '9', word == "true", word == "false", word == "null":
		return value{cost: 0, size: 8}
	case strings.HasPrefix(c.text[c.at:], "("):
		c.at++
		return call(value{}, c.list(")"))
	}
	return c.named(word)
}

// named is a variable. Its length is its bound, or a default.
func (c *coster) named(word string) value {
	length := float64(listLength)
	if c.depth > 0 && !strings.HasPrefix(word, "_") {
		length = nestedSize
	}
	return value{cost: 1, length: length, size: textSize}
}

func (c *coster) word() string {
	start := c.at
	for c.at < len(c.text) && isWordByte(c.text[c.at]) {
		c.at++
	}
	return c.text[start:c.at]
}

func (c *coster) list(end string) []value {
	var items []value
	for !c.failed && !c.accept(end) {
		if len(items) > 0 {
			c.expect(", ")
		}
		items = append(items, c.choice())
	}
	return items
}

// member is a field, a method or an iteration.
func (c *coster) member(of value) value {
	c.at++
	cost := float64(1)
	if c.accept("?") {
		cost = callCost
	}
	name := c.word()
	if !strings.HasPrefix(c.text[c.at:], "(") {
		v := value{cost: of.cost + cost, length: listLength, size: textSize}
		if c.depth > 0 {
			v.length = nestedSize
		}
		return v
	}
	c.at++
	switch name {
	case "exists", "all", "filter", "map":
		return c.iteration(of, name)
	case "orValue":
		arguments := c.list(")")
		v := value{cost: of.cost + callCost, length: of.length, size: of.size}
		for _, a := range arguments {
			v.cost += a.cost
		}
		return v
	}
	arguments := c.list(")")
	v := call(of, arguments)
	switch name {
	case "matches", "contains": // grows with both texts
		for _, a := range arguments {
			v.cost += (of.size*perCharacter + 1) * (a.size + 1) * regexpCost
		}
	case "split":
		v.length = textSize / 2
	}
	return v
}

// call is a call whose cost grows with its receiver and its arguments.
func call(of value, arguments []value) value {
	v := value{cost: of.cost + callCost + (of.size+of.length)*perCharacter, length: of.length, size: of.size}
	for _, a := range arguments {
		v.cost += a.cost + (a.size+a.length)*perCharacter
		v.size = max(v.size, a.size)
	}
	return v
}

// iteration multiplies what follows by the length of a list. A list of one element that begins with an underscore binds a variable.
func (c *coster) iteration(of value, name string) value {
	variable := strings.TrimSpace(c.word())
	c.expect(", ")
	if strings.HasPrefix(variable, "_") {
		before, had := c.bounds[variable]
		if !had {
			c.bounds[variable] = of.size
		}
		body := c.choice()
		c.expect(")")
		if c.bounds[variable] = before; !had {
			delete(c.bounds, variable)
		}
		return value{cost: of.cost + iterationCost + body.cost}
	}
	length := of.length
	restore := c.share(of.source, length)
	c.depth++
	body := c.choice()
	c.depth--
	restore()
	c.expect(")")
	v := value{cost: of.cost + length*(iterationCost+body.cost)}
	if name == "filter" || name == "map" {
		v.cost += length * elementCost
		v.length, v.size = length, textSize
	}
	return v
}

// share divides the bound of a product of lengths among the iterations over both lists.
func (c *coster) share(source string, length float64) (restore func()) {
	for _, p := range c.products {
		other := p.b
		if source == p.b {
			other = p.a
		} else if source != p.a {
			continue
		}
		before, had := c.bounds[other]
		c.bounds[other] = min(max(before, 1), p.bound/max(length, 1))
		return func() {
			if c.bounds[other] = before; !had {
				delete(c.bounds, other)
			}
		}
	}
	return func() {}
}
