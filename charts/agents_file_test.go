// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"noderestriction.plus/internal/compile"
	allrules "noderestriction.plus/policy/rules"
)

// TestAgentsFileIsCurrent compares the chart's file about node agents with what the rules say. With -update it writes the file.
func TestAgentsFileIsCurrent(t *testing.T) {
	floor, err := compile.NewAgentFloor(allrules.All())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(floor); err != nil {
		t.Fatal(err)
	}
	compareFile(t, chart+"/files/agents.json", b.Bytes())
}
