// Package policy judges what kubelets write. It is pure: no I/O, no clock, no logging, no client.
//
// [Compile] turns a NodeRestrictionPolicy into a [Policy], [NewSet] puts policies together, and [Set.Evaluate] judges one
// write, a [Request], and answers with a [Decision] that holds every violation of every policy.
//
// # Rules
//
// A [Rule] is a value with its documentation; [Rules] lists them all. Each lives in a file of its own, rule_<id>.go, with its
// fixtures in testdata/<id>/{allow,deny}. A rule's Compile reads its section of the spec and returns a [Check], a function
// from a request to violations, or nil where the section is omitted.
//
// Rules judge the change, not the state: what is on the stored object stays allowed as long as the kubelet does not change
// it.
package policy
