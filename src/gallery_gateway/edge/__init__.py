"""HTTP: GraphQL over HTTP, guards, GraphiQL, health."""
