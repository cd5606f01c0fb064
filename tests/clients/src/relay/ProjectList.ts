// What a component would hold; the compiler takes the place of each tag.
import { graphql } from "relay-runtime";

export const listQuery = graphql`
  query ProjectListQuery($count: Int!, $search: String) {
    ...ProjectList_projects @arguments(count: $count, search: $search)
  }
`;

export const listFragment = graphql`
  fragment ProjectList_projects on Query
  @refetchable(queryName: "ProjectListPageQuery")
  @argumentDefinitions(
    count: { type: "Int", defaultValue: 20 }
    cursor: { type: "String" }
    search: { type: "String" }
  ) {
    projects(first: $count, after: $cursor, search: $search)
      @connection(key: "ProjectList_projects", filters: ["search"]) {
      totalCount
      pageInfo {
        hasNextPage
        endCursor
      }
      edges {
        node {
          id
          projectId
          projectName
          ...ProjectRow_project
        }
      }
    }
  }
`;

export const rowFragment = graphql`
  fragment ProjectRow_project on Project
  @refetchable(queryName: "ProjectRowQuery")
  @argumentDefinitions(images: { type: "Int", defaultValue: 1 }) {
    projectName
    totalImages
    pendingImages
    images(first: $images) {
      id
      status
      output {
        thumbnail
      }
    }
  }
`;
