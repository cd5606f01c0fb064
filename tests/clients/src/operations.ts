// What all clients but Relay run.
import { graphql } from "./gql/index.js";

export const ProjectList = graphql(`
  query ProjectList($first: Int!, $after: String, $search: String) {
    projects(first: $first, after: $after, search: $search) {
      totalCount
      pageInfo { hasNextPage endCursor }
      edges {
        node {
          id projectId projectName totalImages
          images(first: 1) { id status output { thumbnail } }
        }
      }
    }
  }
`);

export const ProjectDetail = graphql(`
  query ProjectDetail($projectId: BigInt!) {
    project(projectId: $projectId) {
      id createdBy
      images(first: 5) { id status qualityScore inputDescription }
    }
  }
`);

export const Progress = graphql(`
  subscription Progress {
    gallery(perPage: 3) { projects { id completedImages pendingImages } }
  }
`);
