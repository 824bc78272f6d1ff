// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"noderestriction.plus/e2e/process"
)

// profileSeconds is the duration of the profile.
const profileSeconds = 60

// takeProfile writes a CPU profile of the product while it evaluates allowed and denied writes. Reviews are also sent without an API
// server, because otherwise the product would be idle most of the time.
func (b *bench) takeProfile(ctx context.Context) error {
	i := slices.IndexFunc(b.variants, func(v *variant) bool { return v.name == evaluated })
	if err := b.wire(ctx, b.variants[i]); err != nil {
		return err
	}
	var bodies [][]byte
	for _, what := range directReviews() {
		body, err := what.make(b.kubelets[0].node)
		if err != nil {
			return err
		}
		bodies = append(bodies, body)
	}
	client := b.directClient()
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.saveProfile(ctx) }()
	for {
		select {
		case err := <-done:
			return err
		default:
			for _, what := range append(kinds(), denied()) {
				if _, err := writeAll(ctx, b.kubelets[:8], what, b.writes, &b.sequence); err != nil {
					return err
				}
			}
			for _, body := range bodies {
				if _, _, err := sendAll(ctx, client, b.variants[i].url, body, 8, b.reviews); err != nil {
					return err
				}
			}
		}
	}
}

func (b *bench) saveProfile(ctx context.Context) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", b.pprof, profileSeconds)
	file, err := os.Create(b.settings.profile)
	if err != nil {
		return err
	}
	return errors.Join(process.CopyURL(ctx, file, url), file.Close())
}
