// Package docs checks that what docs say of the tree is true.
package docs
