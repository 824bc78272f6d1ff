// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

// What [Cost] takes for what it cannot see in an expression.
const (
	textSize   = 256 // characters of a name in the objects
	valueSize  = 512 // characters of the value of an annotation, on average over an iteration
	labelSize  = 63  // characters of the value of a label
	wordSize   = 32  // characters of what Kubernetes has few values of, such as an operation, and of a time
	typeSize   = 128 // characters of the type of a condition, and of the name of a field manager
	listLength = 64  // elements of a list or map that is not compared with a bound
	nestedSize = 16  // the same, of a list or map that is in an element of another one
)

// What an API server counts, at least; see cel-go interpreter/runtimecost.go and k8s.io/apiserver/pkg/cel/library/cost.go.
const (
	callCost      = 1  // a call or an operator, except those of Boolean logic
	listCost      = 10 // a list that is made
	iterationCost = 5  // an iteration that stops, apart from its condition
	elementCost   = 14 // an element of the list that an iteration makes
	perCharacter  = 0.1
	regexpCost    = 0.25 // a character of a regular expression, for ten characters of the text
)

// value is an expression that has been read.
type value struct {
	cost   float64
	length float64 // of a list or map
	size   float64 // of a text
	item   *value  // of a list that an iteration has made, or that binds a variable
	source string
	// optional says that it may have no value, constant that it is evaluated when the expression is compiled, and mapping that it is a map.
	optional, constant, mapping bool
}

func combine(operator string, a, b value) value {
	v := value{cost: a.cost + b.cost}
	switch operator {
	case "&&", "||":
		return v
	case "==", "!=", "<", "<=", ">", ">=":
		if !a.optional && !b.optional {
			v.cost += min(a.size, b.size) * perCharacter
		}
	case "in":
		if !b.mapping {
			v.cost += b.length
		}
	case "+":
		v.length, v.size, v.item = a.length+b.length, a.size+b.size, larger(a.item, b.item)
		v.cost += v.size * perCharacter
	}
	v.cost += callCost
	return v
}

// sizeOf returns the size of a text in a field.
func sizeOf(field string) float64 {
	switch field {
	case "operation", "time", "subresource", "apiVersion", "kind", "effect", "phase":
		return wordSize
	case "type", "manager":
		return typeSize
	}
	return textSize
}

// lengthOf returns the length of a list in an element of another one.
func lengthOf(field string) float64 {
	switch field {
	case "names": // of an image: a kubelet reports at most 5
		return 5
	case "env", "envFrom": // on average: expressions compare the sum over 256 containers with 1024
		return 4
	}
	return nestedSize
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

// local returns the value of the variable of an iteration, given an element of the list. The elements of a list in an object are not known.
func (v *value) local() value {
	if v == nil {
		return value{cost: 1, length: nestedSize, size: textSize}
	}
	return value{cost: 1, length: v.length, size: v.size, item: v.item, mapping: v.mapping}
}

// larger returns the greater lengths and sizes of two elements of lists. Either may be nil.
func larger(a, b *value) *value {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &value{length: max(a.length, b.length), size: max(a.size, b.size), item: larger(a.item, b.item), mapping: a.mapping && b.mapping}
}
