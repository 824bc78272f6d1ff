// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"cmp"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// Cost returns a number that is at least what an API server counts for an expression of this package, within the bounds with which it
// compares sizes. It is math.MaxUint64 for any other text.
func Cost(e string) uint64 {
	cost, _ := read(e, nil)
	return cost
}

// read reads an expression, and returns its cost and its value.
func read(e string, shared map[string]value) (uint64, value) {
	c := &coster{text: e, bounds: map[string]float64{}, sizes: map[string]float64{}, shared: shared, locals: map[string]value{}}
	c.findBounds()
	v := c.choice()
	c.space()
	if c.failed || c.at < len(e) || v.cost >= math.MaxInt64 {
		return math.MaxUint64, v
	}
	return uint64(math.Ceil(v.cost)), v
}

// Costs returns what [Cost] returns for variables, which may read those before them, and for expressions that read them, without the cost
// of the variables that they read: an API server counts each variable apart, once.
func Costs(variables []Variable, expressions ...string) (ofVariables, ofExpressions []uint64) {
	shared := map[string]value{}
	for _, v := range variables {
		cost, value := read(v.Expression, shared)
		value.cost = 2 * callCost
		shared[v.Name] = value
		ofVariables = append(ofVariables, cost)
	}
	for _, e := range expressions {
		cost, _ := read(e, shared)
		ofExpressions = append(ofExpressions, cost)
	}
	return ofVariables, ofExpressions
}

// coster reads an expression and adds up what it costs.
type coster struct {
	text     string
	at       int
	failed   bool
	bounds   map[string]float64 // of lists and maps, by their expression
	sizes    map[string]float64 // of texts
	products []product
	shared   map[string]value // variables, by their name
	locals   map[string]value // variables of iterations around the place, by their name
	depth    int              // iterations around the place
}

// product is the bound of the product of two lengths.
type product struct {
	a, b  string
	bound float64
}

// findBounds reads all comparisons of sizes with a bound. Expressions of this package iterate only over what is within it.
func (c *coster) findBounds() {
	for _, m := range regexp.MustCompile(`size\(([\w.]+)\) \* size\(([\w.]+)\) [>/] (\d+)`).FindAllStringSubmatch(c.text, -1) {
		bound, _ := strconv.ParseFloat(m[3], 64)
		c.products = append(c.products, product{m[1], m[2], bound})
	}
	bounded, short := regexp.MustCompile(`^\) (?:> (\d+)|/ (\d+) != 0)`), regexp.MustCompile(`^\) (?:<= (\d+)|/ (\d+) == 0)`)
	for at := 0; ; {
		i := strings.Index(c.text[at:], "size(")
		if i < 0 {
			return
		}
		at += i + len("size(")
		end := closing(c.text, at)
		if m := bounded.FindStringSubmatch(c.text[end:]); m != nil {
			bound, _ := strconv.ParseFloat(cmp.Or(m[1], m[2]), 64)
			if before, has := c.bounds[c.text[at:end]]; !has || bound > before {
				c.bounds[c.text[at:end]] = bound
			}
		}
		if m := short.FindStringSubmatch(c.text[end:]); m != nil {
			size, _ := strconv.ParseFloat(cmp.Or(m[1], m[2]), 64)
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
		item: larger(then.item, otherwise.item),
	}
}

// operators returns the operators by how tightly they bind, the loosest first.
func operators() [][]string {
	return [][]string{{"|| "}, {"&& "}, {"== ", "!= ", "<= ", ">= ", "< ", "> ", "in "}, {"+ ", "- "}, {"* ", "/ "}}
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
		case strings.HasPrefix(c.text[c.at:], "["):
			c.at++
			optional := c.accept("?")
			index := c.choice()
			c.expect("]")
			size := float64(valueSize)
			if strings.HasSuffix(v.source, "Labels") {
				size = labelSize
			}
			v = value{cost: v.cost + index.cost + callCost, length: nestedSize, size: size, optional: optional || v.optional}
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
		v := value{length: float64(len(items)), constant: true}
		for _, item := range items {
			v.constant = v.constant && item.constant
		}
		if !v.constant {
			v.cost = listCost
		}
		for _, item := range items {
			v.cost += item.cost
			v.item = larger(v.item, &item)
		}
		return v
	case c.accept("{}"):
		return value{constant: true, mapping: true}
	case c.text[c.at] == '\'':
		end := endOfLiteral(c.text, c.at)
		v := value{size: float64(end - c.at - 1), constant: true}
		c.at = min(end+1, len(c.text))
		return v
	}
	word := c.word()
	switch {
	case word == "":
		c.failed, c.at = true, len(c.text)
		return value{}
	case word[0] >= '0' && word[0] <= '9', word == "true", word == "false", word == "null":
		return value{size: 1, constant: true}
	case strings.HasPrefix(c.text[c.at:], "("):
		c.at++
		return call(value{}, c.list(")"))
	}
	return c.named(word)
}

// named is a variable of an iteration around the place, or the root of an object.
func (c *coster) named(word string) value {
	if v, is := c.locals[word]; is {
		return v
	}
	return value{cost: 1, length: listLength, size: textSize}
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
	optional := c.accept("?")
	name := c.word()
	if !strings.HasPrefix(c.text[c.at:], "(") {
		if of.source == "variables" {
			v, known := c.shared[name]
			c.failed = c.failed || !known
			return v
		}
		v := value{cost: of.cost + callCost, length: listLength, size: sizeOf(name), optional: optional || of.optional}
		if c.depth > 0 {
			v.length = lengthOf(name)
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
			v.mapping = a.mapping
		}
		return v
	}
	arguments := c.list(")")
	v := call(of, arguments)
	switch name {
	case "matches", "contains", "startsWith", "endsWith": // these do not just read the text
		v.cost -= (of.size + of.length) * perCharacter
	}
	switch name {
	case "matches":
		for _, a := range arguments {
			v.cost += (of.size*perCharacter + 1) * (a.size + 3) * regexpCost
		}
	case "contains":
		for _, a := range arguments {
			v.cost += (of.size*perCharacter + 1) * (a.size*perCharacter + 1)
		}
	case "split":
		v.length = textSize / 2
	}
	return v
}

// iteration multiplies what follows by the length of a list. A list of one element that begins with an underscore binds a variable.
func (c *coster) iteration(of value, name string) value {
	variable := strings.TrimSpace(c.word())
	c.expect(", ")
	before, had := c.locals[variable]
	defer func() {
		if c.locals[variable] = before; !had {
			delete(c.locals, variable)
		}
	}()
	if strings.HasPrefix(variable, "_") {
		c.locals[variable] = of.item.local()
		body := c.choice()
		c.expect(")")
		return value{cost: of.cost + iterationCost + body.cost}
	}
	length := of.length
	restore := c.share(of.source, length)
	c.locals[variable] = of.item.local()
	c.depth++
	body := c.choice()
	c.depth--
	restore()
	c.expect(")")
	v := value{cost: of.cost + length*body.cost}
	if name == "exists" || name == "all" {
		v.cost += length * iterationCost
	} else {
		v.cost += length * elementCost
		v.length, v.size, v.item = length, textSize, of.item
	}
	if name == "map" {
		v.item = &body
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
