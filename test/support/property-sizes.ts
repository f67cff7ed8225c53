import fc from 'fast-check'

// A property that names a greatest length means it: by default the lists would have ten items at most.
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true })
