// The operations of the views, in a form that can be pasted into GraphiQL.

const GALLERY_PAGE = `query GalleryPage(
  $page: Int!
  $perPage: Int!
  $order: SortOrder!
  $sortBy: ImageSort!
  $search: String
  $ownership: Ownership
  $status: String
  $feedback: [String!]
) {
  gallery(
    page: $page
    perPage: $perPage
    order: $order
    sortBy: $sortBy
    search: $search
    ownership: $ownership
    status: $status
    feedback: $feedback
  ) {
    pagination {
      page
      pages
      total
      hasNext
      hasPrev
    }
    projects {
      id
      projectId
      projectName
      createdAt
      createdBy
      totalImages
      completedImages
      failedImages
      pendingImages
      images(first: 5) {
        id
        status
        output {
          thumbnail
        }
      }
    }
  }
}`;

const ONE_PROJECT = `query OneProject(
  $projectId: BigInt!
  $maxImages: Int!
  $order: SortOrder!
  $sortBy: ImageSort!
  $status: String
  $feedback: [String!]
) {
  project(
    projectId: $projectId
    maxImages: $maxImages
    order: $order
    sortBy: $sortBy
    status: $status
    feedback: $feedback
  ) {
    id
    projectId
    projectName
    createdAt
    createdBy
    totalImages
    completedImages
    failedImages
    pendingImages
    images {
      id
      originalFilename
      status
      qualityScore
      feedback
      feedbackComment
      reviewStatus
      errorMessage
      inputs {
        fullSize
        thumbnail
      }
      output {
        fullSize
      }
    }
  }
}`;

// Leaves out filters that are not set, because an empty value is not valid.
const set = (values) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value.length !== 0));

const imageFilters = ({ status, feedback }) => set({ status, feedback });

const projectFilters = ({ search, ownership, status, feedback }) =>
  set({ search: search.trim(), ownership, status, feedback });

const operation = (document, variables) => ({
  name: /^\w+ (\w+)/.exec(document)[1],
  document,
  variables,
});

export function galleryPage(state) {
  const { page, perPage, order, sortBy } = state;
  return operation(GALLERY_PAGE, { page, perPage, order, sortBy, ...projectFilters(state) });
}

export function oneProject(state) {
  const { project: projectId, images: maxImages, order, sortBy } = state;
  return operation(ONE_PROJECT, { projectId, maxImages, order, sortBy, ...imageFilters(state) });
}

// Returns a subscription to what a query selects.
export const live = ({ document, variables }) =>
  operation(document.replace(/^query (\w+)/, 'subscription Live$1'), variables);
