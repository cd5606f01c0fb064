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

const GALLERY_PROGRESS = `# Counters only: cheap enough to repeat.
query GalleryProgress(
  $page: Int!
  $perPage: Int!
  $order: SortOrder!
  $search: String
  $ownership: Ownership
  $status: String
  $feedback: [String!]
) {
  gallery(
    page: $page
    perPage: $perPage
    order: $order
    search: $search
    ownership: $ownership
    status: $status
    feedback: $feedback
  ) {
    projects {
      id
      totalImages
      completedImages
      failedImages
      pendingImages
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

const PROJECT_PROGRESS = `# Counters only: cheap enough to repeat.
query ProjectProgress($projectId: BigInt!) {
  project(projectId: $projectId) {
    id
    totalImages
    completedImages
    failedImages
    pendingImages
  }
}`;

// Leaves out filters that are not set, because an empty value is not valid.
const set = (values) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value.length !== 0));

const imageFilters = ({ status, feedback }) => set({ status, feedback });

const projectFilters = ({ search, ownership, status, feedback }) =>
  set({ search: search.trim(), ownership, status, feedback });

const operation = (document, variables) => ({
  name: /query (\w+)/.exec(document)[1],
  document,
  variables,
});

export function galleryPage(state) {
  const { page, perPage, order, sortBy } = state;
  return operation(GALLERY_PAGE, { page, perPage, order, sortBy, ...projectFilters(state) });
}

export function galleryProgress(state) {
  const { page, perPage, order } = state;
  return operation(GALLERY_PROGRESS, { page, perPage, order, ...projectFilters(state) });
}

export function oneProject(state) {
  const { project: projectId, images: maxImages, order, sortBy } = state;
  return operation(ONE_PROJECT, { projectId, maxImages, order, sortBy, ...imageFilters(state) });
}

export function projectProgress({ project: projectId }) {
  return operation(PROJECT_PROGRESS, { projectId });
}
