// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package replay evaluates the writes in an API server's audit log, and says which of them policies would have denied.
//
// An audit log has no stored object. What stood before a write follows from the body of the write, from the answer, and from earlier
// answers. A rule is evaluated on a write with the parts that are known, as [object.Gaps] says: if it asks for none of the others, its
// verdict is that of the webhook. Otherwise each object that could have stood there is tried, for rules to which only a few of them make a
// difference. The last resort is the object as the log had it last. It may be used if the write fits it, and if the log is complete.
// Whatever remains is unknown, with its reason: a verdict that is not unknown is that of the webhook.
package replay
