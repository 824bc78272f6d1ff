// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// CheckURL returns an error if a GET of the URL is not answered with status 200.
func CheckURL(ctx context.Context, url string) error { return CopyURL(ctx, io.Discard, url) }

// CopyURL writes what a GET of the URL returns, which must be answered with status 200.
func CopyURL(ctx context.Context, to io.Writer, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(to, response.Body)
	return err
}
