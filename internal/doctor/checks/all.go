// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package checks

// All returns all checks, in the order in which they are shown.
func All() []Check {
	return []Check{
		authzAlwaysAllow(), nodeAuthorizer(), nodeWidened(), systemNodeBound(), broadGroups(), denyAuthorizer(),
		nodeRestriction(), nodeRestrictionByUs(), anonymous(), becomeNode(), mintNode(), bootstrapTokens(), servingCertificates(),
		csrOtherSigners(), nodesProxy(), nodeAgents(), agentSubjects(), bypassUs(), wiringCheck(), othersInPath(), kubeletConfig(),
		kubeletLive(), halfIdentities(), skew(), distribution(), audit(),
	}
}
