// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

import DefaultTheme from 'vitepress/theme-without-fonts'
import Mermaid from './Mermaid.vue'
import './style.css'

export default {
  extends: DefaultTheme,
  enhanceApp({ app }) {
    app.component('Mermaid', Mermaid)
  },
}
