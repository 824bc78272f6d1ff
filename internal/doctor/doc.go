// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

// Package doctor has the command doctor: it reads what weakens the isolation of kubelets in a cluster, and reports it with a fix. [Read]
// is the only part that talks to the cluster; what it reads is evaluated by [noderestriction.plus/internal/doctor/checks].
//
// Nothing is written. A guard on the connection lets only reads pass, reviews of access, and one dry run.
package doctor
