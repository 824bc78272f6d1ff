// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"noderestriction.plus/internal/authorization"
)

// NodesPath is the path of Nodes, to which a dry run may be sent.
const NodesPath = "/api/v1/nodes"

// ListOptions say what to read of a list.
type ListOptions struct {
	Version                      string // of the API; empty: v1
	FieldSelector, LabelSelector string
	// MetadataOnly leaves out everything except the metadata of the objects: the API server does not send the rest.
	MetadataOnly bool
}

// Objects reads all objects of a list. The verb of the request is not looked at. An API that does not exist is [ErrNotFound].
func Objects[T any](ctx context.Context, c *Client, r *authorization.Request, o ListOptions) ([]T, error) {
	path := pathOf(r, o.Version)
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if o.FieldSelector != "" {
		query.Set("fieldSelector", o.FieldSelector)
	}
	if o.LabelSelector != "" {
		query.Set("labelSelector", o.LabelSelector)
	}
	accept := jsonType
	if o.MetadataOnly {
		accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	}
	var items []T
	for {
		answer, err := c.sendAs(ctx, accept, "list", r.GroupResource(), path, query, nil, maxPage)
		if err != nil {
			return nil, err
		}
		var p page[T]
		if err := json.Unmarshal(answer, &p); err != nil {
			return nil, fmt.Errorf("GET %s: %w", path, err)
		}
		items = append(items, p.Items...)
		switch {
		case p.Continue == "":
			return items, nil
		case len(items) >= maxObjects || len(p.Items) == 0:
			return nil, fmt.Errorf("there are more than %d %s", maxObjects, r.GroupResource())
		}
		query.Set("continue", p.Continue)
	}
}

// Get reads an object, of the version v1, a subresource of it, or a path.
func (c *Client) Get(ctx context.Context, r *authorization.Request) ([]byte, error) {
	path := r.Path
	if path == "" {
		path = pathOf(r, "")
	}
	return c.send(ctx, "get", r.GroupResource(), path, nil, nil, maxPage)
}

// pathOf returns the path of what a request is about. A subresource may be followed by a path.
func pathOf(r *authorization.Request, version string) string {
	if version == "" {
		version = "v1"
	}
	path := "/api/" + version
	if r.Group != "" {
		path = "/apis/" + r.Group + "/" + version
	}
	if r.Namespace != "" {
		path += "/namespaces/" + r.Namespace
	}
	path += "/" + r.Resource
	if r.Name != "" {
		path += "/" + r.Name
	}
	if r.Subresource != "" {
		path += "/" + r.Subresource
	}
	return path
}

// DryRunNode creates a Node, as a dry run. Nothing is stored.
func (c *Client) DryRunNode(ctx context.Context, node any) error {
	_, err := c.send(ctx, "create", "nodes", NodesPath, url.Values{"dryRun": {"All"}}, node, maxReview)
	return err
}

// isDryRun reports whether a request is the one request besides reads and reviews that may be sent: it stores nothing.
func isDryRun(r *http.Request, path string) bool {
	query, err := url.ParseQuery(r.URL.RawQuery)
	return err == nil && r.Method == http.MethodPost && path == NodesPath && slices.Equal(query["dryRun"], []string{"All"})
}
