// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package follow keeps the match conditions of the webhook configuration, and a policy of the floor, up to date with the policies in
// force: what a policy denies is refused also while no replica answers, and what violates no policy is not sent at all.
//
// Each replica does this, none leads. All compute the same from the same policies, and write only what differs. A write needs the
// version of the object that was read, so of several replicas one writes, and the others find nothing to do.
//
// What the chart rendered is in a file. A replica writes only while the webhook configuration says, in an annotation, that it was
// rendered with the same file: during an upgrade the chart's conditions stand until the replica has the new file, and a replica that
// still runs after the chart has turned this off writes nothing.
//
// The program gives up the ownership of what it has written. Server-side apply by others, such as Helm's, would otherwise end with a
// conflict. They set the chart's conditions, and the program replaces these again.
package follow
