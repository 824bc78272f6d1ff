// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"

	"noderestriction.plus/internal/authorization"
)

const (
	discoveryType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	// maxRequests bounds how many requests a discovery returns.
	maxRequests = 20_000
)

// Discovery is what an API server serves.
type Discovery struct {
	// Requests has a request about all objects for each verb of each resource and subresource, in whichever version, sorted, at most 20,000.
	Requests []authorization.Request
	// More is how many further requests there are.
	More int
	// Stale are the groups whose resources the API server does not know at present, such as those of an extension API server that is down.
	Stale []string
}

// Discover asks an API server which resources it serves. Every authenticated user may, by default.
func (c *Client) Discover(ctx context.Context) (*Discovery, error) {
	d := &Discovery{}
	found := map[authorization.Request]bool{}
	for _, path := range []string{"/api", "/apis"} {
		answer, err := c.sendAs(ctx, discoveryType, "get", path, path, nil, nil, maxPage)
		if err != nil {
			return nil, err
		}
		var groups apidiscoveryv2.APIGroupDiscoveryList
		if err := json.Unmarshal(answer, &groups); err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		for i := range groups.Items {
			if group := &groups.Items[i]; !d.read(group, found) {
				d.Stale = append(d.Stale, group.Name)
			}
		}
	}
	d.Requests = slices.SortedFunc(maps.Keys(found), authorization.Compare)
	return d, nil
}

// read adds the requests of a group, and reports whether the API server knows all its resources.
func (d *Discovery) read(group *apidiscoveryv2.APIGroupDiscovery, found map[authorization.Request]bool) bool {
	fresh := true
	add := func(verbs []string, resource, subresource string) {
		for _, verb := range verbs {
			r := authorization.Request{Verb: verb, Group: group.Name, Resource: resource, Subresource: subresource}
			switch {
			case found[r]:
			case len(found) == maxRequests:
				d.More++
			default:
				found[r] = true
			}
		}
	}
	for i := range group.Versions {
		version := &group.Versions[i]
		fresh = fresh && version.Freshness != apidiscoveryv2.DiscoveryFreshnessStale
		for j := range version.Resources {
			resource := &version.Resources[j]
			add(resource.Verbs, resource.Resource, "")
			for _, sub := range resource.Subresources {
				add(sub.Verbs, resource.Resource, sub.Subresource)
			}
		}
	}
	return fresh
}
